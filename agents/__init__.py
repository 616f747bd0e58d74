"""The learners: frozen clients, rejectors, the server model, and the Ray actors that host them."""
