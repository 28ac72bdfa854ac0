"""What a place to run needs besides the service: unit files, images, rules, dashboards."""
