"""Reports: results as text, tables and pages for readers."""
