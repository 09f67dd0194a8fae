"""Reports as people see them: as a message, as a picture, in a terminal, and every Monday by themselves."""
