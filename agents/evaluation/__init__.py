"""What decisions come to on held-out samples: costs, accuracy, risk, reliability, tables of studies.
Labels of held-out samples are read here and train nothing."""
