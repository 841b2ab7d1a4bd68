"""From logits to honest probabilities, and to thresholds that keep a promise."""
