"""Ground floor of tristance: labelled sentences, and the code that reads and checks them."""

if __name__ != "tristance.data":
    raise ImportError("import tristance.data, not the bare folder 'data': otherwise every class would exist twice")
