"""Second floor of tristance: run, evaluate and compare experiments; the command line."""

if __name__ != "tristance.train":
    raise ImportError("import tristance.train, not the bare folder 'train': otherwise every class would exist twice")
