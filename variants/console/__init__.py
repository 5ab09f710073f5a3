"""The console's forms for briefs, pages and pictures, and pydantic's faults in a marketer's words."""
