"""Pages under `/review`: plain HTML forms that work without JavaScript."""
