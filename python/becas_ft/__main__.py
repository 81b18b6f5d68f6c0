"""`python -m becas_ft` is `becas-ft`."""

from becas_ft.cli import main

main()
