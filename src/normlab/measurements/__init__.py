"""Everything that is measured, one file each."""
