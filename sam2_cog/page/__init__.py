"""`sam2-cog ui`: a page to click in. The browser draws; what a click means and what comes of it is decided below."""
