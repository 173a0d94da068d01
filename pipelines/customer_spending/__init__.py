"""customer_spending: what a customer spends in the next four weeks."""
