"""The lecture's figures, drawn by the model that the repository ships.

Each file draws one figure and says in its docstring what there is to see. `make lecture` draws all
of them into docs/how-it-works/, which docs/how-it-works.md shows.
"""
