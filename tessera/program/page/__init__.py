"""A Report as one HTML file that needs nothing beside it."""

from tessera.program.page.page import page as page
