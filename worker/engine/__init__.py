"""The engine: pictures join and leave one running batch between two denoising steps.

Pure torch; it knows neither Redis nor RQ nor HTTP nor metrics.
"""
