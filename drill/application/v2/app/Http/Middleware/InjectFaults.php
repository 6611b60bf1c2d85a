<?php

namespace App\Http\Middleware;

use App\Support\Faults;
use Closure;
use Illuminate\Http\Request;
use RuntimeException;
use Symfony\Component\HttpFoundation\Response;

class InjectFaults
{
    public function __construct(private Faults $faults)
    {
    }

    public function handle(Request $request, Closure $next): Response
    {
        if ($this->faults->read()->concern($request)) {
            $this->faults->growMemory();
            $this->faults->slowDown();

            if ($this->faults->breaks()) {
                throw new RuntimeException('Fault switched on for the drill.');
            }
        }

        return $next($request);
    }
}
