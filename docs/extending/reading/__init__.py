"""Extensions of normlab: networks that read rows of images and sequences of tokens."""
