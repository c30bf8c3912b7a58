"""First floor of tristance: text to features, the networks, a trained model's inference."""

if __name__ != "tristance.models":
    raise ImportError("import tristance.models, not the bare folder 'models': otherwise every class would exist twice")
