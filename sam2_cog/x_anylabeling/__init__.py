"""X-AnyLabeling's remote server for video: points on a frame come back as polygons on every frame."""
