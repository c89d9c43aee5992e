"""Side-by-side runs against other tools; no part of the package."""
