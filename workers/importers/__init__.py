"""Courses from elsewhere: a source is fetched, its format read into a draft, the draft enriched into an outline."""
