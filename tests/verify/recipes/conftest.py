from tests.verify.runs.conftest import corpus, whole

__all__ = ["corpus", "whole"]
