"""The claims of this service, in folders that mirror `src/app`; most run against real servers."""
