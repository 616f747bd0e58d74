"""What researchers bring: objects of their own, registered as kinds that a scenario may then name.
`registering` says what each family takes (`of_results` what is made of finished runs, `forms` how it must
look), `parts` makes keys of a constructor, `loading` reads `--plugin` files and installed packages. A
scenario alone never gets here: only the command line, an installation or Python does."""
