<?php

namespace App\Console\Commands;

use Illuminate\Console\Command;

class SetToken extends Command
{
    use StoresUserSecret;

    protected $signature = 'campaigns:token {--email= : User who owns the token}';

    protected $description = 'Store the hash of an API token read from APP_DRILL_TOKEN or standard input';

    public function handle(): int
    {
        return $this->storeSecret('APP_DRILL_TOKEN', 'api_token', fn (string $token) => hash('sha256', $token));
    }
}
