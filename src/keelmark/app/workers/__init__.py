"""Several worker processes behind one address: who starts them, and what they say to each other."""
