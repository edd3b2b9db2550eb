"""Does the port compute what the original computes?"""
