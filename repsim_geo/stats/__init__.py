"""Estimators over any manifold, in scikit-learn's manners."""
