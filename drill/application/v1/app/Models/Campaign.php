<?php

namespace App\Models;

use Illuminate\Database\Eloquent\Model;
use Illuminate\Database\Eloquent\Relations\BelongsTo;
use Illuminate\Database\Eloquent\Relations\HasMany;

class Campaign extends Model
{
    protected $fillable = ['name', 'template_id', 'contact_group_id', 'user_id'];

    public function template(): BelongsTo
    {
        return $this->belongsTo(Template::class);
    }

    public function group(): BelongsTo
    {
        return $this->belongsTo(ContactGroup::class, 'contact_group_id');
    }

    public function logs(): HasMany
    {
        return $this->hasMany(CampaignLog::class);
    }

    public function messageFor(Contact $contact): string
    {
        return strtr($this->template->body, ['{name}' => $contact->name]);
    }
}
