"""The shipped experiment configs, one YAML file each; as a package, so that they travel in the wheel."""

if __name__ != "tristance.configs":
    raise ImportError("import tristance.configs, not the bare folder 'configs'")
