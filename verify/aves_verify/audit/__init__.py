"""Looking inside a port: each operator's own error, against the exact answer from the inputs that it had there.

Runs graphs on short sounds; writes nothing. What a value is called is not believed: values are found by what they hold.
"""
