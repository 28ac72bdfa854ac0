"""The rooms of the house: one folder for each kind of actor, and what they share."""
