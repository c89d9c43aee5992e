"""Rules about the platform: glibc, needed libraries, hardening."""
