"""What people ask of the service: parts of the supervisor's turns."""
