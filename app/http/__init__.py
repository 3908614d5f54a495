"""What every endpoint shares: access, errors, parsing, waiting for jobs, sending files, request ids."""
