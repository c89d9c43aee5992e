"""Verifying that a wheel works: installed, imported and used on the CPythons that it claims."""
