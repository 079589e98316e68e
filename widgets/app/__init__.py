"""What a person sees of an app inside Voila: the form, the run, its results."""
