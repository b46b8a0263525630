"""Building blocks of every page: templates, colours, tables and charts."""
