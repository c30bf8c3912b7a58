"""`python -m tristance.train …` is the command line `tristance …`, for launchers that take a module (`torchrun -m`)."""

from tristance.train.cli import main

if __name__ == "__main__":
    main()
