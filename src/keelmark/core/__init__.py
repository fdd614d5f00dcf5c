"""The nouns as frozen value types, the error tree and the ports. No input or output here."""
