"""Price curves of stocks for a year or a quarter, with a 95 % band, from a Gaussian process."""
