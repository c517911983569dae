"""How a network fills one day: window networks, recurrent networks, tiles, state."""
