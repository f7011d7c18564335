"""What other libraries are given; each file imports the library that it is for, so none is imported from here."""
