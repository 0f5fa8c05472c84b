"""Where the runs of a sweep are made: in processes of this machine, as jobs of Slurm, as tasks of Ray."""
