"""Who is let in, as whom and until when, as anybody outside can see it on a real server."""
