"""The CPythons of a machine: which there are, which a project needs, and environments made with them."""
