"""What a report says: numbers, sentences, pictures and files made of them."""
