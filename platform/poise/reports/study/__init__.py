"""Report of one study: a page, a Markdown file and a CSV file."""
