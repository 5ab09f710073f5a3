"""What marketers see and click, behind the admin: pages made of numbers, forms in their words, signed previews."""
