"""The report page: one HTML file that shows what an audit or a merge found."""
