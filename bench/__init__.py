"""The benchmark of batchwire: `python -m bench`. See README.md. It must never be imported by the product."""
