"""Who is let in, as whom and until when, by a token of an identity provider."""
