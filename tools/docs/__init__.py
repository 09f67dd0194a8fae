"""Documents as text: cutting them into chunks, and changing them."""
